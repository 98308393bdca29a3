"""A web server that gives out footage slowly, so that a test can act while the worker is in mid-work."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType


class SlowSource:
    """Serves `content` at `url`, byte by byte until `release` is set, then the rest at once.

    `asked` is set as soon as somebody reads.
    """

    def __init__(self, content: bytes) -> None:
        self.asked = threading.Event()
        self.release = threading.Event()
        source = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                source.asked.set()
                sent = 0
                try:
                    while not source.release.wait(0.02) and sent < len(content):
                        sent += self.wfile.write(content[sent : sent + 1])
                        self.wfile.flush()
                    self.wfile.write(content[sent:])
                except ConnectionError:
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: pytest shows what matters."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/a.avi?sig=SeCrEt"

    def __enter__(self) -> "SlowSource":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
