"""The earlier-detection study on a dask cluster: the same call, the same rows; needs copfuse[cluster].

Here the cluster is two processes on this machine; Client("scheduler:8786") sends the same study to one of many machines, which
need the same copfuse.  The study's folder stays with this process, so that a cluster that goes away loses no finished flight.
"""

import joblib
from dask.distributed import Client, LocalCluster

import copfuse as cf

if __name__ == "__main__":  # the workers import this file
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        study = cf.earlier_detection(
            cf.launches().select(year=2022, missile_class="MRBM"), regimes=("none", "realtime"), seeds=2, folder="study-on-dask"
        )
    print(study)
