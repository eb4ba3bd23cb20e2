"""A local stand-in for the Hugging Face hub: the endpoints that `huggingface_hub` uses to upload and download models.

It keeps repositories in memory. Weights (`*.safetensors`) take the route of large files, as on the hub: a request for an upload
address, the upload, and a commit that names the content by its SHA-256.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_write"


@dataclass
class HubRepository:
    """One model repository: the files of every commit, and the branches."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        names = sorted((name, hashlib.sha256(content).hexdigest()) for name, content in files.items())
        oid = hashlib.sha1(json.dumps([names, message, len(self.commits)]).encode()).hexdigest()
        self.commits[oid], self.branches[branch] = files, oid
        self.messages.append(message)
        return oid

    def files(self, revision: str = "main") -> dict[str, bytes]:
        return self.commits[self.branches.get(revision, revision)]


class HubServer:
    """The server, on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        self.repositories: dict[str, HubRepository] = {}
        self.stored: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.fail: Callable[[str], tuple[int, str] | None] = lambda request: None
        """Gives the status and message with which a request, such as `PUT /stored/...`, fails; status 0 breaks the connection."""
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def create(self, name: str, *, private: bool = False, files: dict[str, bytes] | None = None) -> HubRepository:
        repository = self.repositories[name] = HubRepository(private)
        repository.commit("main", {".gitattributes": b"", **(files or {})}, "initial commit")
        return repository

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = f"{self.command} {path}"
        self.hub.requests.append(request)
        failure = self.hub.fail(request)
        if failure is not None and failure[0] == 0:
            self.close_connection = True
            self.connection.close()
            return
        if failure is not None:
            self._error(*failure)
        elif path.startswith("/stored/"):
            self.hub.stored[path.removeprefix("/stored/")] = body
            self._send(b"")
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/resolve/" in path:
            self._resolve(path)
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._error(401, "Invalid credentials in Authorization header")
        elif path == "/api/whoami-v2":
            self._json({"name": "me", "type": "user", "orgs": []})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            answer = [{**each, "actions": {"upload": {"href": f"{self.hub.url}/stored/{each['oid']}"}}} for each in objects]
            self._json({"objects": answer})
        else:
            self._repository(path, body)

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        if wanted["organization"] != "me":
            return self._error(403, f"You don't have the rights to create a model under the namespace {wanted['organization']}")
        if exists := name in self.hub.repositories:
            return self._json({"url": f"{self.hub.url}/{name}", "error": "You already created this model repo"}, 409)
        private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        assert not exists
        self.hub.create(name, private=private)
        return self._json({"url": f"{self.hub.url}/{name}"})

    def _repository(self, path: str, body: bytes) -> None:
        _, _, _, owner, name, *rest = path.split("/")
        repository = self.hub.repositories.get(f"{owner}/{name}")
        action, revision = rest[0] if rest else "", unquote(rest[1]) if len(rest) > 1 else "main"
        if repository is None:
            return self._error(404, "Repository not found", "RepoNotFound")
        if action == "branch":
            if revision in repository.branches:
                return self._error(409, "Reference already exists")
            repository.branches[revision] = repository.branches["main"]
            return self._json({})
        if revision not in repository.branches and revision not in repository.commits:
            return self._error(404, "Invalid rev id", "RevisionNotFound")
        files = repository.files(revision)
        if action == "tree":
            return self._json([_tree_entry(name, content) for name, content in files.items()])
        if action == "preupload":
            wanted = [file["path"] for file in json.loads(body)["files"]]
            modes = [
                {"path": each, "uploadMode": "lfs" if each.endswith(".safetensors") else "regular", "shouldIgnore": False}
                for each in wanted
            ]
            return self._json({"files": modes})
        if action == "commit":
            oid = self._commit(repository, revision, body)
            return self._json({"commitUrl": f"{self.hub.url}/{owner}/{name}/commit/{oid}", "commitOid": oid})
        sha = repository.branches.get(revision, revision)
        siblings = [{"rfilename": each} for each in files]
        return self._json({"id": f"{owner}/{name}", "sha": sha, "private": repository.private, "siblings": siblings, "tags": []})

    def _commit(self, repository: HubRepository, branch: str, body: bytes) -> str:
        files, message = dict(repository.files(branch)), ""
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                message = value["summary"]
            elif entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.stored[value["oid"]]
            else:
                del files[value["path"]]
        return repository.commit(branch, files, message)

    def _resolve(self, path: str) -> None:
        _, owner, name, _, revision, file = path.split("/", 5)
        repository = self.hub.repositories.get(f"{owner}/{name}")
        if repository is None or (repository.private and self.headers.get("Authorization") != f"Bearer {TOKEN}"):
            return self._error(401, "Repository not found", "RepoNotFound")
        commit = repository.branches.get(unquote(revision), revision)
        content = repository.commits.get(commit, {}).get(file)
        if content is None:
            return self._error(404, "Entry not found", "EntryNotFound")
        return self._send(content, headers={"ETag": f'"{_etag(file, content)}"', "X-Repo-Commit": commit})

    def _json(self, content: Any, status: int = 200) -> None:
        self._send(json.dumps(content).encode(), status, {"Content-Type": "application/json"})

    def _error(self, status: int, message: str, code: str = "") -> None:
        headers = {"X-Error-Message": message, "Content-Type": "application/json", **({"X-Error-Code": code} if code else {})}
        self._send(json.dumps({"error": message}).encode(), status, headers)

    def _send(self, content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _etag(name: str, content: bytes) -> str:
    """As the hub's: the SHA-256 of a large file, else the hash of the git blob."""
    if name.endswith(".safetensors"):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _tree_entry(name: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": _etag(name, content)}
    if name.endswith(".safetensors"):
        entry["lfs"] = {"oid": _etag(name, content), "size": len(content), "pointerSize": 134}
    return entry
