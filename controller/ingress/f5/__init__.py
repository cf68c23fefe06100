"""NGINX Ingress Controller of F5 (nginx/kubernetes-ingress), release 5.4: annotations `nginx.org/` and `nginx.com/`.

- `table`: its annotations. `settings`: keys of its ConfigMap. `mergeable`: masters and minions.
- `groups/`: a module for each group of annotations, which reads them into features.
"""

from .provider import F5

__all__ = ["F5"]
