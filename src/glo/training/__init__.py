"""Training: `single` is the readable oracle, `population` the fast engine that must agree with it."""

from glo.training.device import check_device_name, choose_device, local_device
from glo.training.networks import train_networks, trains_together
from glo.training.population import check_stackable, train_population
from glo.training.rehearsal import rehearse
from glo.training.single import train_single

__all__ = [
    "check_device_name", "check_stackable", "choose_device", "local_device", "rehearse", "train_networks",
    "train_population", "train_single", "trains_together",
]  # fmt: skip
