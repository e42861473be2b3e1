"""Way 1, choreography: whenever this, then that. An aggregate decides, listeners pass on, no process coordinates."""

from sagakit.demos.hotel.choreography import whenever
from sagakit.demos.hotel.choreography.group_book import choreography

__all__ = ["choreography", "whenever"]
