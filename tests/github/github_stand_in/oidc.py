"""Identity tokens of a job. <https://docs.github.com/en/actions/reference/security/oidc>"""

import base64
import json
import secrets
import time

from .call import Answer, Call
from .state import GitHub

PATH = "/oidc/token"
LIFETIME = 300
OPERATION = "oidc/token"


class Oidc:
    def __init__(self, github: GitHub):
        self.github = github
        # What the runner hands to a job whose permissions have `id-token: write`.
        self.request_token = secrets.token_urlsafe(24)
        self.subject = f"repo:{github.full_name}:pull_request"

    def environment(self, site: str) -> dict[str, str]:
        return {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{site}{PATH}?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": self.request_token,
        }

    def answer(self, call: Call) -> Answer:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token != self.request_token:
            return Answer(401, {"message": "Unauthorized"})
        if call.asked("api-version") is None:
            return Answer(400, {"message": "api-version is missing: the audience is appended to the address"})
        audience = call.asked("audience") or f"{call.site}/{self.github.owner}"
        return Answer(200, {"value": self.token(audience)})

    def token(self, audience: str) -> str:
        """Its signature is none."""
        now = int(time.time())
        claims = {
            "iss": "https://token.actions.githubusercontent.com",
            "sub": self.subject,
            "aud": audience,
            "repository": self.github.full_name,
            "repository_owner": self.github.owner,
            "iat": now,
            "nbf": now - 600,
            "exp": now + LIFETIME,
            "jti": secrets.token_hex(8),
        }
        head = {"alg": "RS256", "typ": "JWT", "kid": "stand-in"}
        return ".".join([encoded(json.dumps(head)), encoded(json.dumps(claims)), encoded("no signature")])


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
