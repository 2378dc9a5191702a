"""Loads and unloads a model with tritonclient, printed as JSON.

triton_repository.py PROTOCOL ADDRESS CALLERS_TOKEN ADMINS_TOKEN
"""

import importlib
import json
import sys

from tritonclient.utils import InferenceServerException

MODEL = "flowers"


def main(protocol: str, address: str, callers_token: str, admins_token: str) -> None:
    module = importlib.import_module(f"tritonclient.{protocol}")
    caller, admin = ({"authorization": f"Bearer {token}"} for token in (callers_token, admins_token))
    with module.InferenceServerClient(address) as client:
        found = {
            "live": client.is_server_live(),
            "metadata_for_nobody": outcome(client.get_server_metadata),
            "load_by_nobody": outcome(client.load_model, MODEL),
            "load_by_caller": outcome(client.load_model, MODEL, headers=caller),
            "before": versions(client, caller),
            "load_by_admin": outcome(client.load_model, MODEL, headers=admin),
            "after": versions(client, caller),
            "ready": client.is_model_ready(MODEL, "2", headers=caller),
            "unload_by_admin": outcome(client.unload_model, MODEL, headers=admin),
            "other_files": outcome(client.load_model, MODEL, headers=admin, config="{}"),
        }
    json.dump(found, sys.stdout)


def versions(client, headers):
    index = client.get_model_repository_index(headers=headers)
    models = index if isinstance(index, list) else [{"version": one.version} for one in index.models]
    return [one["version"] for one in models]


def outcome(ask, *arguments, **options):
    """Status and words of a refusal; nothing where there is none."""
    try:
        ask(*arguments, **options)
    except InferenceServerException as error:
        return [error.status(), error.message()]
    return []


if __name__ == "__main__":
    main(*sys.argv[1:])
