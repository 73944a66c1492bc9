"""Segments: saved filters over customers' traits."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.customers import Customer


@dataclass(frozen=True, slots=True)
class Segment:
    """A customer is in it when each trait named has one of its values.

    Membership is judged on the traits as they are when somebody asks: nothing is kept of it.
    """

    key: str
    name: str
    filter: Mapping[str, tuple[str, ...]]

    def holds(self, customer: Customer) -> bool:
        """Whether the customer is in the segment; a trait that it lacks has no value."""
        traits = customer.traits
        return all(traits.get(trait) in values for trait, values in self.filter.items())
