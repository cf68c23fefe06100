"""Migration from Ingress: Ingresses of a controller to manifests of the Gateway API, and what is lost on the way.

The pipeline: `inventory` (objects, and where their fields are written), `selection` (the Ingresses of the class),
`provider` (annotations to `features`; one package for each controller, such as `nginx`), `site` (hosts and locations,
as the controller merges them), `emit` (manifests). `losses` is what is told, by all of them. `convert` runs it.
"""

from .convert import Conversion, convert
from .emit import Manifest
from .f5 import F5
from .inventory import Inventory
from .losses import FATES, LOSSES, Cause, Fate, Ledger, Loss
from .nginx import NGINX
from .options import Name, Options
from .provider import Provider, Traits
from .reading import Reading
from .rows import Annotation, Setting
from .settings import Settings
from .traefik import TRAEFIK

#: By the name of `--provider`.
PROVIDERS: dict[str, Provider] = {provider.name: provider for provider in (NGINX, TRAEFIK, F5)}

__all__ = [
    "F5",
    "FATES",
    "LOSSES",
    "NGINX",
    "PROVIDERS",
    "TRAEFIK",
    "Annotation",
    "Cause",
    "Conversion",
    "Fate",
    "Inventory",
    "Ledger",
    "Loss",
    "Manifest",
    "Name",
    "Options",
    "Provider",
    "Reading",
    "Setting",
    "Settings",
    "Traits",
    "convert",
]
