"""The settings of `cnnsvc serve`: each field is a flag and a CNNSVC_ environment variable."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from cnnsvc.engines.base import EngineName
from cnnsvc.engines.upstream import DialectName, Upstream
from cnnsvc.occlusion import LEAST_BUDGET, MOST_BUDGET
from cnnsvc.options import setting
from cnnsvc.pixels import DEFAULT_LIMIT_PIXELS
from service.access import Scope
from service.drift import LEAST_IMAGES
from service.logs import LogFormat
from service.version_policy import read_policies

WatchMode = Literal["auto", "notify", "poll", "off"]
LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True)
class ServeSettings:
    models_dir: Annotated[
        Path | None, setting("Folder of models, <name>/<version>/; the newest version of each is served.")
    ] = None
    bundle: Annotated[Path | None, setting("One version folder to serve instead of a folder of models.")] = None
    versions: Annotated[
        str,
        setting(
            "Versions of a model that are served: latest:N, all, or numbers such as 3,5; of one model flowers=latest:2,"
            " several in one text with blanks between them."
        ),
    ] = "latest:1"
    watch: Annotated[
        WatchMode,
        setting(
            "How changes in the folder of models are noticed: auto asks the system, and polls network file systems;"
            " off serves what is there at the start."
        ),
    ] = "auto"
    allow_class_change: Annotated[
        bool, setting("Serve a new version whose class names differ from those of the version before it.")
    ] = False
    probation_seconds: Annotated[
        int,
        setting(
            "Time in which a version that was loaded while the service runs is rolled back if it fails too often; as"
            " long the version before it stays loaded. 0 is never.",
            min=0,
        ),
    ] = 300
    probation_error_percent: Annotated[
        int, setting("Share of its images that a version on probation may fail by our own fault.", min=0, max=100)
    ] = 5
    probation_min_images: Annotated[
        int, setting("Images that a version on probation must have been asked before it is judged.", min=1)
    ] = 20
    tokens_file: Annotated[
        Path | None,
        setting(
            "File of tokens, as `cnnsvc token` writes it, without which nobody is answered; with it there is the admin"
            " API. Read again when it changes."
        ),
    ] = None
    public_scopes: Annotated[
        str,
        setting("With --tokens-file: what needs no token all the same, such as metrics or classify,metrics."),
    ] = ""
    tls_certificate: Annotated[
        Path | None,
        setting(
            "File with the certificate chain in PEM that both doors show; with it they speak TLS alone. Read again when"
            " it changes, like its key."
        ),
    ] = None
    tls_key: Annotated[Path | None, setting("File with the certificate's private key in PEM, without a password.")] = (
        None
    )
    tls_client_ca: Annotated[
        Path | None,
        setting("File with the authorities in PEM of which callers must show a certificate; default asks for none."),
    ] = None
    host: Annotated[str, setting("Address that both doors listen on; 0.0.0.0 opens them to the network.")] = "127.0.0.1"
    grpc_port: Annotated[int, setting("TCP port for gRPC; 0 lets the system choose.", min=0, max=65535)] = 8500
    http_port: Annotated[int, setting("TCP port for HTTP; 0 lets the system choose.", min=0, max=65535)] = 8501
    metrics_port: Annotated[
        int | None,
        setting(
            "TCP port of its own for /metrics, /livez and /readyz, which asks for no client certificate; 0 lets the"
            " system choose. Default is the HTTP door, where /metrics is then no more.",
            min=0,
            max=65535,
        ),
    ] = None
    connection_limit: Annotated[
        int, setting("Most connections of each door, in a worker; more are refused.", min=1)
    ] = 4096
    engine: Annotated[
        EngineName,
        setting(
            "Inference engine; auto times each one at load and takes the fastest right one; remote has --upstream"
            " infer."
        ),
    ] = "auto"
    artifact: Annotated[
        str | None, setting("File of the bundle that answers, such as model.onnx; default is the fastest right one.")
    ] = None
    upstream: Annotated[
        str | None,
        setting(
            "With --engine remote: the server of TensorFlow Serving's protocol or of the Open Inference Protocol that"
            " infers, grpc://HOST:PORT or grpcs://HOST:PORT; of addresses in numbers several with commas."
        ),
    ] = None
    upstream_dialect: Annotated[
        DialectName,
        setting("Protocol of the upstream: tfs for PredictionService, oip for the Open Inference one; auto asks."),
    ] = "auto"
    upstream_model: Annotated[
        str | None, setting("Name of the model at the upstream; default is the name that it has here.")
    ] = None
    upstream_version: Annotated[
        int | None, setting("Version of the model at the upstream; default is the version that it has here.", min=1)
    ] = None
    upstream_ca: Annotated[
        Path | None,
        setting(
            "File with the authorities in PEM that the upstream's certificate must be of; default are those that gRPC"
            " trusts."
        ),
    ] = None
    upstream_token_file: Annotated[
        Path | None, setting("File with the token to show to the upstream; default shows none.")
    ] = None
    num_streams: Annotated[
        int,
        setting(
            "Images decoded and inferred at once in a worker; 0 is what is fastest, at most its share of the CPUs; of"
            " remote it is 8 calls in flight.",
            min=0,
            max=256,
        ),
    ] = 0
    max_batch_size: Annotated[
        int, setting("Most images in one inference, where the engine gains from more than one.", min=1, max=256)
    ] = 4
    cache_dir: Annotated[
        Path | None,
        setting(
            "Folder that remembers the fastest engine of a bundle, so that the next start need not time them; default"
            " is the user's cache folder."
        ),
    ] = None
    workers: Annotated[
        int, setting("Processes that serve on the same two ports, each with its own models and limits.", min=1, max=256)
    ] = 1
    state_dir: Annotated[
        Path | None,
        setting(
            "Folder that the workers of this service share; labels, loads and rollbacks are kept there over restarts."
            " Default is a temporary one."
        ),
    ] = None
    queue_limit: Annotated[
        int, setting("Most images admitted and not yet answered; more are refused as overloaded.", min=1)
    ] = 512
    queue_limit_bytes: Annotated[
        int,
        setting(
            "Most encoded bytes, of images admitted and not yet answered and of HTTP bodies as they are received; more"
            " are refused as overloaded.",
            min=1024,
        ),
    ] = 256 * 1024 * 1024
    max_images_per_call: Annotated[int, setting("Most images in one call.", min=1)] = 128
    stream_window: Annotated[
        int, setting("Images of one gRPC stream that may wait for their answers; the server reads no further.", min=1)
    ] = 32
    body_limit_bytes: Annotated[int, setting("Largest HTTP body and gRPC message, in bytes.", min=1024)] = (
        32 * 1024 * 1024
    )
    limit_pixels: Annotated[
        int, setting("Largest width x height of an image, in pixels, read before it is decoded.", min=1)
    ] = DEFAULT_LIMIT_PIXELS
    explain_budget_limit: Annotated[
        int, setting("Most inferences that one explanation may take.", min=LEAST_BUDGET, max=65_536)
    ] = MOST_BUDGET
    request_timeout_ms: Annotated[int, setting("Longest time a call may take, in milliseconds.", min=1)] = 30_000
    http_head_timeout_ms: Annotated[
        int,
        setting(
            "Longest time from an HTTP connection, or from the first byte of a later request, to the end of the"
            " request's headers, in milliseconds.",
            min=1,
        ),
    ] = 10_000
    # More than the 60 s of common load balancers: where they close an idle connection first, no request meets its end.
    http_keep_alive_ms: Annotated[
        int,
        setting("Longest time that an HTTP connection may be idle after an answer, in milliseconds.", min=1),
    ] = 75_000
    shutdown_pause_ms: Annotated[
        int,
        setting(
            "Time from SIGTERM to the end of new connections, in milliseconds: not ready, but answering, while load"
            " balancers move on.",
            min=0,
        ),
    ] = 0
    shutdown_grace_ms: Annotated[
        int,
        setting("Time that calls in flight get to finish after SIGTERM and the pause, in milliseconds.", min=0),
    ] = 30_000
    drift_window_images: Annotated[
        int,
        setting(
            "Last images of a model version that are compared with its training, 100 or more; 0 measures no drift.",
            min=0,
            max=100_000,
        ),
    ] = 1000
    log_level: Annotated[LogLevel, setting("Least severe log line shown.")] = "info"
    log_format: Annotated[LogFormat, setting("Log lines for people (text), or one JSON object a line (json).")] = "text"
    otlp_endpoint: Annotated[
        str | None,
        setting(
            "Base URL of a collector of traces that takes OTLP over HTTP, such as http://127.0.0.1:4318; default is no"
            " traces."
        ),
    ] = None
    trace_sample_percent: Annotated[
        float,
        setting(
            "Share of the calls that are traced, of those whose caller has not decided about it already.",
            min=0,
            max=100,
        ),
    ] = 100.0
    audit_log: Annotated[
        Path | None,
        setting("File that gets one line of JSON a call, with the hash of each image; several workers write one each."),
    ] = None
    audit_sample_percent: Annotated[float, setting("Share of the calls that the audit log holds.", min=0, max=100)] = (
        100.0
    )
    audit_log_max_bytes: Annotated[
        int,
        setting("Size past which the audit log gives way to a new one, in bytes; five older ones are kept.", min=1024),
    ] = 64 * 1024 * 1024
    audit_images: Annotated[
        Path | None, setting("Folder for the images of audited calls, each under its hash; default is to keep none.")
    ] = None
    audit_images_max_bytes: Annotated[
        int, setting("Size of that folder past which the oldest images are deleted, in bytes.", min=1024)
    ] = 1024 * 1024 * 1024

    def __post_init__(self) -> None:
        if (self.models_dir is None) == (self.bundle is None):
            raise ValueError("expected either --models-dir or --bundle, and not both")
        read_policies(self.versions)
        if 0 < self.drift_window_images < LEAST_IMAGES:
            raise ValueError(
                f"--drift-window-images is {self.drift_window_images}; expected 0, or {LEAST_IMAGES} or more"
            )
        if self.otlp_endpoint is not None and not _is_http_url(self.otlp_endpoint):
            raise ValueError(f"--otlp-endpoint is {self.otlp_endpoint!r}; expected a URL such as http://127.0.0.1:4318")
        if self.queue_limit_bytes < self.body_limit_bytes:
            raise ValueError(
                f"--queue-limit-bytes is {self.queue_limit_bytes}, less than the {self.body_limit_bytes} of"
                " --body-limit-bytes; a body as large as is allowed would never find room"
            )
        self._check_upstream()
        self._check_doors()

    @property
    def remote(self) -> Upstream | None:
        """What infers instead of this machine. Raises SettingError for an address that is none."""
        if self.upstream is None:
            return None
        return Upstream(
            self.upstream,
            self.upstream_dialect,
            self.upstream_model or "",
            self.upstream_version,
            self.upstream_ca,
            self.upstream_token_file,
        )

    def _check_upstream(self) -> None:
        if (self.engine == "remote") != (self.upstream is not None):
            raise ValueError("expected --engine remote and --upstream, or neither")
        details = self.upstream_model, self.upstream_version, self.upstream_ca, self.upstream_token_file
        if self.upstream is None and (self.upstream_dialect != "auto" or any(one is not None for one in details)):
            raise ValueError("--upstream-dialect, -model, -version, -ca and -token-file need --engine remote")
        _ = self.remote

    def _check_doors(self) -> None:
        read_public_scopes(self.public_scopes)
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("expected --tls-certificate and --tls-key, or neither")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("--tls-client-ca needs --tls-certificate and --tls-key")
        if not self.host:
            raise ValueError("--host is empty; expected an address or a name, such as 127.0.0.1 or 0.0.0.0")


def read_public_scopes(words: str) -> frozenset[Scope]:
    """Scopes with commas between them. Raises ValueError for what is none, and for that of the admin API."""
    found = set()
    for word in filter(None, words.split(",")):
        if word not in set(Scope) - {Scope.ADMIN}:
            raise ValueError(f"--public-scopes has {word!r}; allowed are classify and metrics")
        found.add(Scope(word))
    return frozenset(found)


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
