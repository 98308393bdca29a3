"""The page at `/`: says that the host runs. Its words are ours; the real host's page is 150 KB of Azure's."""

HOME_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><title>Your Functions app is up and running</title></head>
<body>
<h1>Your Functions app is up and running</h1>
<p>devhost, a local Azure Functions host.</p>
<ul>
<li><a href="/admin/functions">Functions</a></li>
<li><a href="/admin/host/status">State of the host</a></li>
</ul>
</body>
</html>
"""
