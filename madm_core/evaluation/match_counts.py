"""What became of the messages of a recording."""

from __future__ import annotations

from dataclasses import dataclass, field

from madm_core.errors import DataError, InvalidInputError


@dataclass
class MatchCounts:
    """What became of the messages.

    ``matched`` pairs; ``unlabelled`` sensor frames without labels; ``unmatched_labels`` labels without a sensor frame;
    ``out_of_order`` messages whose stamps jumped back, left out; ``unusable`` reason -> number of messages;
    ``examples`` reason -> what was said of the first one.
    """

    matched: int = 0
    unlabelled: int = 0
    unmatched_labels: int = 0
    out_of_order: int = 0
    unusable: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def absorb(self, other: MatchCounts) -> None:
        """Adds the counts of another part of the same recording or data set."""
        self.matched += other.matched
        self.unlabelled += other.unlabelled
        self.unmatched_labels += other.unmatched_labels
        self.out_of_order += other.out_of_order
        for reason, number in other.unusable.items():
            self.unusable[reason] = self.unusable.get(reason, 0) + number
        self.examples = {**other.examples, **self.examples}

    def cannot_use(self, error: InvalidInputError) -> None:
        """Counts a message or picture that was left out."""
        self.unusable[error.reason] = self.unusable.get(error.reason, 0) + 1
        self.examples.setdefault(error.reason, str(error))

    def leave_out(self, error: InvalidInputError) -> None:
        """Counts a message of a recording that was left out.

        Raises:
            DataError: Labels hold ids outside the label set. All of them will, so that nothing could be scored.
        """
        if error.reason == "ids":
            raise DataError(str(error)) from error
        self.cannot_use(error)
