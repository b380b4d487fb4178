"""Training images: from the registry to the engine."""

import re

from .engine import EngineError
from .errors import JobFailed
from .services import Services

ECR = re.compile(r"\d{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.(amazonaws\.com|amazonaws\.com\.cn|on\.aws)")
NO_PULL = (
    "ClientError: Cannot pull algorithm container. Either the image does not exist or its permissions are incorrect."
)


class Images:
    def __init__(self, services: Services):
        self.services = services

    def pull(self, algorithm: dict, region: str) -> str:
        """The image's name for the engine, once it is there."""
        name = algorithm["TrainingImage"]
        host, _, rest = name.partition("/")
        if host == self.services.own_host or ECR.fullmatch(host):
            name = f"{self.services.ministack.host}/{rest}"
        user, password = self.services.ministack.registry_login(region)
        try:
            self.services.engine.pull(name, user, password)
        except EngineError as error:
            self.services.journal.trouble(algorithm["TrainingImage"], str(error))
            raise JobFailed(NO_PULL) from error
        self.services.pulled.add(name)
        return name
