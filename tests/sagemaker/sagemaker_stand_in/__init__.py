"""A stand-in for Amazon SageMaker's training jobs that really runs containers."""
