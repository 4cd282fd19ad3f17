"""What a look at madjax or at a package found out."""

from dataclasses import dataclass
from typing import Literal

State = Literal["fine", "repaired", "refused"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at: fine as it is, repaired for this process, or not to be used."""

    name: str
    state: State
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {self.state}: {self.text}"
