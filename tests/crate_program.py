"""Runs the public RO-Crate validator (roc-validator) without a network; by the Python of an environment that has it.

    python tests/crate_program.py CRATE CONTEXT [SEVERITY]

CONTEXT is the JSON-LD context that comes with the library `rocrate`; the validator would fetch that of RO-Crate 1.1. The one
that comes is of a later version, which has all of its terms; only those of Bioschemas moved.
Prints the issues, one to a line; exits with 1 if there are any.
"""

import io
import sys
import tempfile
from pathlib import Path

from requests import PreparedRequest, Response
from rocrate_validator import services
from rocrate_validator.models import Severity, ValidationSettings
from rocrate_validator.utils.http import HttpRequester
from urllib3 import HTTPResponse

CONTEXT = "https://w3id.org/ro/crate/1.1/context"


def main(crate: Path, context: Path, severity: str = "REQUIRED") -> int:
    with tempfile.TemporaryDirectory() as temporary:
        cache = Path(temporary) / "cache"
        settings = ValidationSettings(
            rocrate_uri=str(crate),
            profile_identifier="workflow-run-crate",
            requirement_severity=Severity[severity],
            cache_path=cache,
            offline=True,
        )
        request = PreparedRequest()
        request.prepare("GET", CONTEXT, headers={})
        response = Response()
        response.status_code, response.request, response.url = 200, request, CONTEXT
        response.headers["Content-Type"] = "application/ld+json"
        content = context.read_bytes().replace(b"https://bioschemas.org/terms/", b"https://bioschemas.org/")
        response.raw = HTTPResponse(io.BytesIO(content), status=200, preload_content=False, request_url=CONTEXT)
        response._content = content
        HttpRequester().session.cache.save_response(response)
        result = services.validate(settings)
        issues = [f"{issue.severity.name} {issue.check.identifier}: {issue.message}" for issue in result.get_issues()]
    print("\n".join(issues))
    return 1 if issues else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
