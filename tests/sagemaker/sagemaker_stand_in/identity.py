"""Credentials that expire: STS as far as a runner of continuous integration needs it."""

import base64
import json
import secrets
import string
import threading
import time
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from . import model, validation
from .account import ACCOUNT
from .errors import ApiError
from .wire import XML, Answer, Call

AUDIENCE = "sts.amazonaws.com"
NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
ALPHABET = string.ascii_uppercase + "234567"


class Identity:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.enforced = False
        # Real seconds; None is what the caller asks for.
        self.lifetime: float | None = None
        self.token_lifetime = 300.0
        self.sessions: dict[str, dict] = {}
        self.expired_keys: set[str] = set()

    def settings(self) -> dict:
        return {
            "enforced": self.enforced,
            "lifetime": self.lifetime,
            "token_lifetime": self.token_lifetime,
            "expired_keys": sorted(self.expired_keys),
        }

    def change(self, wanted: dict) -> None:
        if unknown := set(wanted) - set(self.settings()):
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(self.settings())}")
        with self.lock:
            self.enforced = bool(wanted.get("enforced", self.enforced))
            lifetime = wanted.get("lifetime", self.lifetime)
            self.lifetime = None if lifetime is None else float(lifetime)
            self.token_lifetime = float(wanted.get("token_lifetime", self.token_lifetime))
            self.expired_keys = set(wanted.get("expired_keys", self.expired_keys))

    def check(self, call: Call) -> tuple[str, str, int] | None:
        """Why the keys of a call are refused, as code, message and status."""
        if not self.enforced or call.service == "registry" or call.operation == "AssumeRoleWithWebIdentity":
            return None
        key = call.access_key
        with self.lock:
            session = self.sessions.get(key or "")
            expired = key in self.expired_keys or (session is not None and session["expires"] <= time.time())
        code, message, status = None, "", 403
        if key is None:
            code, message = "MissingAuthenticationToken", "Missing Authentication Token"
        elif expired:
            code = "ExpiredToken" if call.service in ("s3", "sts") else "ExpiredTokenException"
            message = "The security token included in the request is expired"
            status = 403 if call.service == "sts" else 400
        elif session is None and key.startswith("ASIA"):
            code = {"s3": "InvalidAccessKeyId", "sts": "InvalidClientTokenId"}.get(
                call.service, "UnrecognizedClientException"
            )
            message = "The security token included in the request is invalid."
        return (code, message, status) if code else None

    def answer(self, call: Call) -> Answer | None:
        """STS's own operations; None is for another to answer."""
        if call.operation == "AssumeRoleWithWebIdentity":
            return self.assume(call)
        if call.operation == "GetCallerIdentity":
            return self.caller(call)
        return None

    def assume(self, call: Call) -> Answer:
        form = {name: value for name, value in call.form.items() if name not in ("Action", "Version")}
        request = {name: value for name, value in form.items() if "." not in name}
        if "DurationSeconds" in request:
            request["DurationSeconds"] = int(request["DurationSeconds"])
        try:
            validation.check(model.load("sts"), "AssumeRoleWithWebIdentityRequest", request)
        except ApiError as error:
            raise ApiError("ValidationError", error.message) from error
        subject, audience = check_token(request["WebIdentityToken"])
        role, session_name = request["RoleArn"], request["RoleSessionName"]
        seconds = self.lifetime if self.lifetime is not None else request.get("DurationSeconds", 3600)
        arn = f"{role.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/{session_name}"
        key = "ASIA" + "".join(secrets.choice(ALPHABET) for _ in range(16))
        role_id = "AROA" + "A" * 17
        expires = time.time() + seconds
        with self.lock:
            self.sessions[key] = {"arn": arn, "id": f"{role_id}:{session_name}", "expires": expires}
        stamp = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return xml(
            "AssumeRoleWithWebIdentity",
            f"<SubjectFromWebIdentityToken>{escape(subject)}</SubjectFromWebIdentityToken>"
            f"<Audience>{escape(audience)}</Audience>"
            f"<AssumedRoleUser><Arn>{escape(arn)}</Arn><AssumedRoleId>{role_id}:{escape(session_name)}</AssumedRoleId>"
            f"</AssumedRoleUser><Credentials><AccessKeyId>{key}</AccessKeyId>"
            f"<SecretAccessKey>{secrets.token_urlsafe(30)}</SecretAccessKey>"
            f"<SessionToken>{secrets.token_urlsafe(200)}</SessionToken>"
            f"<Expiration>{stamp}</Expiration></Credentials>",
        )

    def caller(self, call: Call) -> Answer:
        with self.lock:
            session = self.sessions.get(call.access_key or "")
        arn = session["arn"] if session else f"arn:aws:iam::{ACCOUNT}:user/stand-in"
        user = session["id"] if session else "AIDAAAAAAAAAAAAAAAAAA"
        return xml(
            "GetCallerIdentity",
            f"<Arn>{escape(arn)}</Arn><UserId>{escape(user)}</UserId><Account>{ACCOUNT}</Account>",
        )

    def id_token(self, audience: str) -> str:
        """A token as the runner of a workflow gets it from GitHub; its signature is none."""
        now = int(time.time())
        claims = {
            "iss": "https://token.actions.githubusercontent.com",
            "sub": "repo:octo-org/octo-repo:ref:refs/heads/main",
            "aud": audience,
            "iat": now,
            "nbf": now,
            "exp": now + self.token_lifetime,
            "jti": secrets.token_hex(8),
        }
        head = {"alg": "RS256", "typ": "JWT", "kid": "stand-in"}
        return ".".join(encoded(json.dumps(part).encode()) for part in (head, claims)) + "." + encoded(b"no signature")


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def check_token(token: str) -> tuple[str, str]:
    """Subject and audience of a token that could be one of GitHub's."""
    try:
        _, payload, _ = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        subject, audience, expires = claims["sub"], claims["aud"], claims["exp"]
    except (ValueError, KeyError, TypeError) as error:
        raise ApiError(
            "InvalidIdentityToken",
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
        ) from error
    if audience != AUDIENCE:
        raise ApiError("InvalidIdentityToken", "Incorrect token audience")
    if expires <= time.time():
        raise ApiError(
            "ExpiredTokenException",
            f"Token expired: current date/time {int(time.time())} must be before the expiration date/time "
            f"{int(expires)}",
        )
    return subject, audience


def xml(operation: str, content: str) -> Answer:
    text = (
        f'<{operation}Response xmlns="{NAMESPACE}"><{operation}Result>{content}</{operation}Result>'
        f"<ResponseMetadata><RequestId>{secrets.token_hex(16)}</RequestId></ResponseMetadata></{operation}Response>"
    )
    return Answer(200, XML, text.encode())
