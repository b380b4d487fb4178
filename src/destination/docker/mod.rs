//! Jobs as containers of a Docker Engine, by SageMaker's contract.
