"""What a Gateway needs in a cluster, as a plan: requests to data planes (`requests`), their names, ports and manifests.

Pure: no input, output or clock. `provision` writes what is planned here.
"""
