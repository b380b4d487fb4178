"""A request's way: limits, token, operation, permission, contract, work."""

import hashlib
import json
from collections.abc import Callable

from . import operations, tokens
from .call import Answer, Call
from .contract import Contract
from .errors import ApiError, not_found
from .filling import filled
from .limits import Limits
from .state import REPOSITORY, GitHub
from .tokens import Tokens

NO_AGENT = (
    b"\r\nRequest forbidden by administrative rules. Please make sure your request has a User-Agent header "
    b"(https://docs.github.com/en/rest/overview/resources-in-the-rest-api#user-agent-required). Check "
    b"https://developer.github.com for other possible causes.\r\n"
)


class Api:
    def __init__(self, github: GitHub, known: Tokens, limits: Limits, contract: Contract):
        self.github, self.tokens, self.limits, self.contract = github, known, limits, contract
        self.work: dict[str, Callable] = operations.all()

    def identify(self, call: Call, entry: dict) -> None:
        """What the request is, before anything is done; the journal learns what of it is not valid."""
        numbered = f"/repositories/{REPOSITORY}"
        if call.path.startswith(f"{numbered}/"):
            call.path = f"/repos/{self.github.full_name}{call.path.removeprefix(numbered)}"
        operation = self.contract.find(call)
        entry["operation"] = call.operation or None
        if operation is None:
            entry["invalid"] = [f"{call.method} {call.path} is no operation of the contract"]
            return
        try:
            call.body = json.loads(call.raw) if call.raw else None
        except ValueError as error:
            entry["invalid"] = [f"body: no JSON: {error}"]
            return
        entry["invalid"] = self.contract.broken(operation, call)
        if call.operation not in self.work:
            entry["invalid"].append("the stand-in does not do this operation")

    def answer(self, call: Call, entry: dict) -> Answer:
        try:
            answer = self.done(call, entry)
        except ApiError as error:
            answer = self.refusal(call, error)
        return self.with_etag(call, answer)

    def done(self, call: Call, entry: dict) -> Answer:
        if not call.headers.get("user-agent"):
            return Answer(403, raw=NO_AGENT, content_type="text/html")
        if call.operation != "rate-limit/get" and (refused := self.limits.spend()):
            return refused
        call.token = self.tokens.of(call)
        entry["login"] = call.token.login
        if call.operation not in self.work:
            raise not_found()
        self.must_be_ours(call)
        tokens.check(call.token, call.operation, call.method, self.github.private)
        if entry["invalid"]:
            status = 400 if entry["invalid"][0].startswith("body: no JSON") else 422
            message = "Problems parsing JSON" if status == 400 else "Invalid request.\n\n" + "\n".join(entry["invalid"])
            raise ApiError(status, message)
        with self.github.lock:
            answer = self.work[call.operation](self.github, call, self.limits)
        schema = self.contract.operations[call.operation].answers.get(answer.status)
        answer.content = filled(self.contract, schema, answer.content)
        return answer

    def must_be_ours(self, call: Call) -> None:
        names = call.parameters.get("owner"), call.parameters.get("repo")
        wanted = f"{names[0]}/{names[1]}".lower()
        if names != (None, None) and wanted != self.github.full_name.lower():
            raise not_found()

    def refusal(self, call: Call, error: ApiError) -> Answer:
        operation = self.contract.operations.get(call.operation)
        content = {"message": error.message}
        if error.errors:
            content["errors"] = error.errors
        content["documentation_url"] = operation.docs if operation else "https://docs.github.com/rest"
        content["status"] = str(error.status)
        return Answer(error.status, content, error.headers)

    def with_etag(self, call: Call, answer: Answer) -> Answer:
        """What has not changed is not sent, and costs nothing."""
        if call.method != "GET" or answer.status != 200:
            return answer
        etag = f'W/"{hashlib.sha256(answer.body()).hexdigest()}"'
        if call.headers.get("if-none-match") == etag:
            self.limits.give_back()
            answer = Answer(304, headers=answer.headers)
        answer.headers["etag"] = etag
        return answer
