"""What a call or a job can end with."""


class ApiError(Exception):
    """An answer of the service that is an error."""

    def __init__(self, code: str, message: str, status: int = 400):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class JobFailed(Exception):
    """The job ends as Failed with this reason."""


def not_valid(message: str) -> ApiError:
    return ApiError("ValidationException", message)


def not_found() -> ApiError:
    return not_valid("Requested resource not found.")
