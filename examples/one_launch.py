"""A launch of the public record through the whole chain, in five lines; makes one_launch.png."""

import copfuse as cf

run = cf.run("hokkaido-2017", regime="realtime", seed=1)
print(run)
cf.plot(run, "one_launch.png")
