"""What dev.py is made of. All but `send_video` and `storage` use the standard library only."""
