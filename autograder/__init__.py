"""The instructor's side: what needs a secret, another process or a grade book. Nothing in tinytorch knows it."""
