# A terminal of JupyterLab: a shell in which kubectl, the AWS CLI and boto3 use the sandbox.
# Arguments: Python, the shell.
eval "$("$1" -m eksnet.cli env)"
exec "$2"
