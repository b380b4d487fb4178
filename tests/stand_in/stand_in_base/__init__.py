"""What the stand-ins for GitHub and for SageMaker have in common: faults, a journal, a server, a control plane."""
