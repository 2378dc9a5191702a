"""The statistics of Triton's extension, from those that this worker keeps of each version."""

from cnnsvc.errors import NotFoundError
from cnnsvc.pb import oip_pb2 as pb
from service.frontends.oip_query import Target
from service.registry import Registry, ServedModel
from service.statistics import BatchTimes, Duration


def model_statistics(target: Target, registry: Registry) -> pb.ModelStatisticsResponse:
    """Of all models where none is named, of all its versions where no version is. Raises NotFoundError."""
    served = registry.models()
    if target.version or target.label:
        served = [target.served(registry)]
    elif target.model:
        served = [one for one in served if one.manifest.name == target.model]
        if not served:
            target.served(registry)  # raises, in its own words
            raise NotFoundError(f"model {target.model[:64]!r} is not served")
    return pb.ModelStatisticsResponse(model_stats=map(_statistics, served))


def _statistics(served: ServedModel) -> pb.ModelStatistics:
    found = served.statistics
    nothing = pb.StatisticDuration()
    return pb.ModelStatistics(
        name=served.manifest.name,
        version=str(served.manifest.version),
        last_inference=round(1000 * found.last_answer),
        inference_count=found.num_images,
        execution_count=sum(_num_batches(size, times) for size, times in found.batches.items()),
        inference_stats=pb.InferStatistics(
            success=_duration(found.answered),
            fail=_duration(found.failed),
            queue=_duration(found.queue),
            compute_input=_duration(found.decode),
            compute_infer=_duration(found.inference),
            compute_output=_duration(found.rest),
            cache_hit=nothing,
            cache_miss=nothing,
        ),
        batch_stats=[_batch(size, times) for size, times in sorted(found.batches.items())],
    )


def _duration(found: Duration) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=found.count, ns=found.ns)


def _num_batches(size: int, times: BatchTimes) -> int:
    """Of a batch all images are counted, but for those whose callers went away."""
    return -(-times.num_images // size)


def _batch(size: int, times: BatchTimes) -> pb.InferBatchStatistics:
    count = _num_batches(size, times)
    return pb.InferBatchStatistics(
        batch_size=size,
        compute_input=pb.StatisticDuration(count=count, ns=round(1e9 * times.decode_seconds)),
        compute_infer=pb.StatisticDuration(count=count, ns=round(1e9 * times.inference_seconds / size)),
        compute_output=pb.StatisticDuration(count=count),
    )
