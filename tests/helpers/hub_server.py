"""A stand-in for the Hugging Face hub: what its client asks to push a model and to get it again."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

TOKEN = "hf_of_ann"
"""The only account."""


@dataclass
class Hub:
    """What it holds, and what was asked of it.

    Arguments
    ---------
    url : str
        The address, for ``HF_ENDPOINT``.
    repositories : dict
        Files of every repository, by path.
    commits : list
        Of every commit, the repository and its files.
    cards : list
        Model cards that were sent to be validated.
    """

    url: str = ""
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    commits: list[tuple[str, set[str]]] = field(default_factory=list)
    cards: list[str] = field(default_factory=list)


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A hub on this machine, while the context lasts."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield hub
    server.shutdown()
    thread.join()
    server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Create, validate, commit; for those who are logged in."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self._say({"error": "Invalid username or password."}, code=401)
        parts = urlsplit(self.path).path.strip("/").split("/")
        if parts == ["api", "repos", "create"]:
            name = "{organization}/{name}".format(**json.loads(body))
            code = 409 if name in self.hub.repositories else 200
            self.hub.repositories.setdefault(name, {})
            return self._say({"url": f"{self.hub.url}/{name}"}, code)
        if parts == ["api", "validate-yaml"]:
            self.hub.cards.append(json.loads(body)["content"])
            return self._say({"errors": [], "warnings": []})
        _, _, owner, model, verb, _ = parts
        if verb == "preupload":
            files = [
                {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                for each in json.loads(body)["files"]
            ]
            return self._say({"files": files})
        return self._commit(f"{owner}/{model}", body)

    def _commit(self, name: str, body: bytes) -> None:
        lines = [json.loads(line) for line in body.splitlines()]
        files = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in lines
            if line["key"] == "file"
        }
        self.hub.repositories[name] |= files
        self.hub.commits.append((name, {*files}))
        url = f"{self.hub.url}/{name}/commit/{'1' * 40}"
        self._say({"success": True, "commitOid": "1" * 40, "commitUrl": url})

    def do_GET(self) -> None:
        """A repository's description, or a file of it."""
        parts = urlsplit(self.path).path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            name = "/".join(parts[2:4])
            siblings = [{"rfilename": path} for path in self.hub.repositories.get(name, {})]
            found = {"id": name, "sha": "1" * 40, "siblings": siblings, "tags": []}
            return self._say(found, 200 if name in self.hub.repositories else 404)
        owner, model, _, _, path = parts
        content = self.hub.repositories.get(f"{owner}/{model}", {}).get(path)
        if content is None:
            return self._say({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
        tag = {"ETag": f'"{sha1(content).hexdigest()}"', "X-Repo-Commit": "1" * 40}
        return self._send(content, 200, tag)

    def do_HEAD(self) -> None:
        """As `do_GET`, but for the content."""
        self.do_GET()

    def _say(self, answer: Any, code: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(answer).encode(), code, headers or {})

    def _send(self, content: bytes, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""
