"""drogon_server_test.py SERVER: the same application as http_server's, so the same test."""

import pathlib
import runpy

runpy.run_path(str(pathlib.Path(__file__).with_name("http_server_test.py")), run_name="__main__")
