"""The AWS side of the sandbox: one front that verifies each request and answers as AWS does."""
