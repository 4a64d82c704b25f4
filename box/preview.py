"""preview - signed preview links."""

import base64
import hashlib
import hmac
import json

TAG = b"mitos-preview-v1\0"
SECRET_BYTES_MIN = 16

NOT_ENABLED = ("preview URLs are not enabled on this server: start "
               "sandbox-server with --preview-domain and "
               "MITOS_PREVIEW_SECRET, or run the preview proxy "
               "(cmd/preview-proxy)")


def _encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(secret, sandbox, port, expires):
    """The token of one link; secret is bytes, expires in Unix seconds."""
    payload = _encode(json.dumps({"s": sandbox, "p": port, "e": expires},
                                 separators=(",", ":")).encode())
    tag = hmac.new(secret, TAG + payload.encode(), hashlib.sha256).digest()
    return f"{payload}.{_encode(tag)}"
