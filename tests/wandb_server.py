"""A W&B server of the least kind: takes what the client sends and answers so that it goes on.

`python wandb_server.py <log> [<sweep.yaml> <run.json>]` prints its port; an agent of the sweep is
told to do that one run. Every request becomes a JSON line of the log: what a client sent is what
the tests look at. Of a run it keeps its curves alone, which a client that resumes asks for. The
client is the real one.
"""

import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ENTITY = "me"
COMPLETE = []  # runs whose client has said so
CURVES = {}  # the lines of each run's


def answer(operation, variables, url):
    """The `data` of a GraphQL operation, with as much as the client needs to go on."""
    if operation == "RunResumeStatus" and (lines := CURVES.get(variables["name"])):
        tails = {"historyTail": json.dumps(lines[-1:]), "eventsTail": "[]", "summaryMetrics": "{}"}
        counts = {"historyLineCount": len(lines), "eventsLineCount": 0, "logLineCount": 0}
        about = {"id": "b", "name": variables["name"], "config": "{}", "tags": []}
        bucket = {**about, **counts, **tails, "wandbConfig": json.dumps({"t": 1})}
        return {"model": {"id": "p", "entity": {"name": ENTITY}, "bucket": bucket}}
    if operation == "UpsertBucket":
        project = {"id": "p", "name": variables.get("project"), "entity": {"name": ENTITY}}
        names = {"id": variables.get("name"), "name": variables.get("name")}
        shown = {"displayName": variables.get("displayName"), "historyLineCount": 0}
        return {"upsertBucket": {"bucket": {**names, **shown, "project": project}}}
    if operation == "CreateRunFiles":
        files = [{"name": name, "uploadUrl": f"{url}/upload/{name}"} for name in variables["files"]]
        created = {"runID": variables["run"], "uploadHeaders": [], "files": files}
        return {"createRunFiles": created}
    if operation == "CreateArtifact":
        sequence = {"id": "s", "latestArtifact": None}
        artifact = {"id": "a", "state": "PENDING", "artifactSequence": sequence}
        return {"createArtifact": {"artifact": artifact}}
    if operation in ("CreateArtifactManifest", "UpdateArtifactManifest"):
        file = {"id": "f", "name": "m", "displayName": "m", "uploadHeaders": []}
        manifest = {"id": "m", "file": {**file, "uploadUrl": f"{url}/upload/manifest"}}
        return {f"{operation[0].lower()}{operation[1:]}": {"artifactManifest": manifest}}
    if operation == "CreateArtifactFiles":
        file = {"id": "f", "storagePath": "", "uploadHeaders": [], "artifact": {"id": "a"}}
        names = [given["name"] for given in variables["input"]["artifactFiles"]]
        places = [{"name": n, "displayName": n, "uploadUrl": f"{url}/upload/{n}"} for n in names]
        edges = [{"node": file | place} for place in places]
        return {"createArtifactFiles": {"files": {"edges": edges}}}
    if operation == "CommitArtifact":
        return {"commitArtifact": {"artifact": {"id": "a", "digest": "d"}}}
    if operation == "CreateAgent":
        return {"createAgent": {"agent": {"id": "agent"}}}
    if operation == "Heartbeat":
        commands = [{"type": "exit"}] if "trial" in COMPLETE else []
        if RUN:
            run = {"type": "run", "run_id": "trial", "program": "ptune"}
            commands = [{**run, "args": json.loads(RUN.pop())}]
        return {"agentHeartbeat": {"agent": {"id": "agent"}, "commands": json.dumps(commands)}}
    if operation == "SweepWithRuns":
        sweep = {"id": "w", "name": "w", "config": SWEEP, "runs": {"edges": []}}
        return {"project": {"sweep": sweep}}
    if operation == "ProjectInternalId":
        return {"project": {"internalId": "UHJvamVjdDp2MTpwdHVuZTptZQ=="}}
    if operation in ("GetProjects", "Projects"):
        node = {"id": "p", "name": variables.get("project", "ptune"), "entityName": ENTITY}
        node |= {"createdAt": "", "isBenchmark": False, "user": None}
        edge = {"node": node, "cursor": "1"}
        page = {"edges": [edge], "pageInfo": {"endCursor": "1", "hasNextPage": False}}
        return {"models": page}
    if operation == "upsertView":
        project = {"id": "p", "name": variables["projectName"], "entityName": ENTITY}
        view = {"updatedAt": "2026-11-26T00:00:00Z", "project": project, **variables}
        return {"upsertView": {"view": {**view, "id": "Vmlldzox"}, "inserted": True}}
    names = {"entity": ENTITY, "username": ENTITY}
    viewer = {"id": "u", **names, "flags": "{}", "teams": {"edges": []}}
    return {"viewer": viewer, "model": None, "project": {"artifact": None}, "entity": None}


class Handler(BaseHTTPRequestHandler):
    """Writes a request down and answers it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        """GraphQL, curves (file_stream), uploads, telemetry."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        try:
            sent = json.loads(body)
        except ValueError:
            sent = {"bytes": len(body)}
        if not self.path.startswith("/sdk/otel"):  # the client's own telemetry
            with LOG.open("a", encoding="utf-8") as log:
                log.write(json.dumps({"path": self.path, "sent": sent}) + "\n")
        if sent.get("complete"):
            COMPLETE.append(self.path.split("/")[-2])
        if curves := sent.get("files", {}).get("wandb-history.jsonl"):
            kept = CURVES.setdefault(self.path.split("/")[-2], [])
            kept[curves["offset"] :] = curves["content"]
        reply = {}
        if self.path == "/graphql":
            query = sent["query"].split("(")[0].split("{")[0].split()
            url = f"http://{self.headers['Host']}"
            reply = {"data": answer(query[1], sent.get("variables") or {}, url)}
        text = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = do_POST  # noqa: N815

    def log_message(self, *arguments):
        """Nothing on standard error."""


if __name__ == "__main__":
    LOG = Path(sys.argv[1])
    SWEEP, *RUN = [Path(name).read_text(encoding="utf-8") for name in sys.argv[2:]] or [""]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *arguments: None  # a client left
    print(server.server_port, flush=True)
    server.serve_forever()
