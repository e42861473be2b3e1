"""The demos in the simulation: `make simulate` runs them beside processes that are drawn."""

from sagakit.demos.simulated.hotel import SimulatedHotel
from sagakit.demos.simulated.shop import SimulatedShop
from sagakit.demos.simulated.subscriptions import SimulatedSubscriptions

SUBJECTS = (
    SimulatedShop("code"),
    SimulatedShop("steps"),
    SimulatedShop("manager"),
    SimulatedHotel(),
    SimulatedSubscriptions(),
)
