"""The full public name of a gRPC method, from what the metrics call it."""

from typing import Final

from service.health import CLASSIFIER_SERVICE, OPEN_INFERENCE_SERVICE, TFS_MODEL_SERVICE, TFS_PREDICTION_SERVICE

FOREIGN_METHODS: Final = {
    "tfs_predict": f"{TFS_PREDICTION_SERVICE}/Predict",
    "tfs_classify": f"{TFS_PREDICTION_SERVICE}/Classify",
    "tfs_regress": f"{TFS_PREDICTION_SERVICE}/Regress",
    "tfs_multi_inference": f"{TFS_PREDICTION_SERVICE}/MultiInference",
    "tfs_get_model_metadata": f"{TFS_PREDICTION_SERVICE}/GetModelMetadata",
    "tfs_get_model_status": f"{TFS_MODEL_SERVICE}/GetModelStatus",
    "tfs_reload_config": f"{TFS_MODEL_SERVICE}/HandleReloadConfigRequest",
    "oip_infer": f"{OPEN_INFERENCE_SERVICE}/ModelInfer",
    "oip_stream_infer": f"{OPEN_INFERENCE_SERVICE}/ModelStreamInfer",
    "oip_server_metadata": f"{OPEN_INFERENCE_SERVICE}/ServerMetadata",
    "oip_model_ready": f"{OPEN_INFERENCE_SERVICE}/ModelReady",
    "oip_model_metadata": f"{OPEN_INFERENCE_SERVICE}/ModelMetadata",
    "oip_model_config": f"{OPEN_INFERENCE_SERVICE}/ModelConfig",
    "oip_statistics": f"{OPEN_INFERENCE_SERVICE}/ModelStatistics",
    "oip_repository_index": f"{OPEN_INFERENCE_SERVICE}/RepositoryIndex",
    "oip_load": f"{OPEN_INFERENCE_SERVICE}/RepositoryModelLoad",
    "oip_unload": f"{OPEN_INFERENCE_SERVICE}/RepositoryModelUnload",
}


def rpc_name(method: str) -> str:
    """One of our own is written otherwise only: classify_stream is ClassifyStream."""
    return FOREIGN_METHODS.get(method) or f"{CLASSIFIER_SERVICE}/{method.title().replace('_', '')}"
