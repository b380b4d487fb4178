"""What a request can be refused with."""


class ApiError(Exception):
    """An answer of GitHub that is an error."""

    def __init__(self, status: int, message: str, errors: list[dict] | None = None, headers: dict | None = None):
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
        self.errors = errors
        self.headers = headers or {}


def not_found() -> ApiError:
    return ApiError(404, "Not Found")


def no_commit(sha: str) -> ApiError:
    return ApiError(422, f"No commit found for SHA: {sha}")


def not_valid(resource: str, field: str, message: str, code: str = "custom") -> ApiError:
    error = {"resource": resource, "code": code, "field": field, "message": message}
    return ApiError(422, "Validation Failed", [error])
