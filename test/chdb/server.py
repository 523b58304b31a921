"""ClickHouse's HTTP interface over the engine of the chdb package, as far as
internal/lake/clickhouse speaks it: a statement in the body or in a form with
small tables beside it, settings as parameters, errors by header. One statement
runs at a time. What the engine without its server does not have is passed over:
users, read-only mode, KILL QUERY, errors in the middle of a reply."""

import email.parser
import email.policy
import os
import re
import sys
import tempfile
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import chdb

one_at_a_time = threading.Lock()
engine = chdb.connect(":memory:")
folder = tempfile.mkdtemp(prefix="chdb-http-")

OWN = {"query", "query_id", "database", "default_format"}
SERVER_ONLY = {"readonly", "cancel_http_readonly_queries_on_client_close", "wait_end_of_query"}
INSERT = re.compile(r"^(INSERT INTO \S+ \((.*)\)) FORMAT Parquet$", re.S)


def quote(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def form(content_type, body):
    """Fields and files of a multipart body."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    fields, files = {}, {}
    for part in message.iter_parts():
        into = files if part.get_filename() else fields
        into[part.get_param("name", header="content-disposition")] = part.get_payload(decode=True)
    return {k: v.decode() for k, v in fields.items()}, files


def run(params, statement, files, data):
    path = os.path.join(folder, "data")
    for name, rows in files.items():
        with open(path, "wb") as f:
            f.write(rows)
        structure = params.pop(name + "_structure")
        form_of = params.pop(name + "_format")
        engine.query(f"CREATE TEMPORARY TABLE {name} ({structure}) ENGINE = Memory", "Null")
        if rows:
            engine.query(f"INSERT INTO {name} SELECT * FROM file({quote(path)}, {quote(form_of)}, {quote(structure)})", "Null")
    insert = INSERT.match(statement)
    if insert:
        with open(path, "wb") as f:
            f.write(data)
        statement = f"{insert[1]} SELECT {insert[2]} FROM file({quote(path)}, 'Parquet')"
    settings = {k: v for k, v in params.items() if k not in OWN | SERVER_ONLY}
    if settings and not insert:
        statement += "\nSETTINGS " + ", ".join(f"{k} = {quote(v)}" for k, v in settings.items())
    try:
        return engine.query(statement, params.get("default_format", "TabSeparated")).bytes()
    finally:
        for name in files:
            engine.query(f"DROP TABLE IF EXISTS {name}", "Null")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        params = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query, keep_blank_values=True))
        body, files = self.body(), {}
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/form-data"):
            fields, files = form(kind, body)
            params.update(fields)
        statement = params.get("query") or body.decode()
        try:
            with one_at_a_time:
                reply = run(params, statement, files, body)
        except Exception as e:  # what the engine says, as the server would
            code = re.search(r"Code: (\d+)\.", str(e))
            self.answer(500, str(e).encode(), code[1] if code else "1001")
            return
        self.answer(200, reply)

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        out = b""
        while size := int(self.rfile.readline(), 16):
            out += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return out

    def answer(self, status, body, code=None):
        self.send_response(status)
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def end_with_parent():
    """Standard input ends when the tests do, killed or not."""
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_parent, daemon=True).start()
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"ready http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
