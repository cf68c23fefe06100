"""ingress-nginx (kubernetes/ingress-nginx), release 1.15.1: the last one that there is.

- `table`: its annotations, all of them. `settings`: keys of its ConfigMap.
- `groups/`: a module for each group of annotations, which reads them into features.
"""

from .provider import NGINX

__all__ = ["NGINX"]
