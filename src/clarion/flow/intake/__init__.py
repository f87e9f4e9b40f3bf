"""Stage 1, intake: resolves a submission to workflows and users, encrypts it, and stores it in its lane."""
