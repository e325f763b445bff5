"""What answers/*.py use."""
import dataclasses
import secrets

ACCOUNT = "123456789012"


@dataclasses.dataclass
class Call:
    state: dict  # kept from call to call, JSON
    environment: dict
    region: str

    def table(self, name):
        """A dict of this name in the state."""
        return self.state.setdefault(name, {})


class Refused(Exception):
    """An error of AWS: An error occurred (CODE) when calling the X operation: MESSAGE."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


def new_id(prefix):
    return f"{prefix}-{secrets.token_hex(9)[:17]}"


# Commands that are no calls: what they print.
COMMANDS = {
    ("ssm", "start-session"): lambda argv: "\nStarting session with SessionId: you-0123456789abcdef0\n",
    ("--version",): lambda argv: "aws-cli/2.32.6 Python/3.13.9 Linux/6.1 exe/x86_64\n",
}
