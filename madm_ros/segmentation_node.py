"""The lifecycle node ``segmentation``: sensor topic in, label images out.

One thread spins (subscriptions, services, timers), one worker segments the newest frame. rclpy's multi-threaded
executor is not used: it stalls under load (ros2/rclpy#1223) and would queue old frames.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rclpy.clock import Clock, JumpThreshold
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool

from madm_core.errors import MadmError
from madm_ros import parameters as parameter_rules
from madm_ros.callback_errors import CallbackErrors
from madm_ros.frame_statistics import FrameStatistics
from madm_ros.health import Health
from madm_ros.model_loading import load_model, load_segmenter
from madm_ros.model_reload import ModelReload
from madm_ros.node_parameters import AT_ONCE, SPECS, NodeParameters
from madm_ros.pipeline import FrameSegmenter, Model
from madm_ros.publishers import ResultPublishers
from madm_ros.stream import Stream
from madm_ros.throttled_log import ThrottledLog

if TYPE_CHECKING:
    from madm_ros.preview.preview import Preview

_TICK_S = 0.05
"""Period of the housekeeping timer: how late an empty event window may be closed."""


class SegmentationNode(LifecycleNode):
    """Segments the frames of one depth, thermal or event camera.

    Args:
        load: Makes a segmenter from the parameters; tests put their own here.
        after_load: Called when a model has been loaded and taken; a process of its own puts its memory in order here.
        name: Node name.
        node_arguments: As for ``rclpy.node.Node``: ``namespace``, ``context``, ``parameter_overrides``, ``cli_args``.

    Raises:
        ConfigError: A parameter given at start is unknown or cannot be used.
    """

    def __init__(
        self,
        *,
        load: Callable[[NodeParameters], FrameSegmenter] = load_segmenter,
        after_load: Callable[[], object] = lambda: None,
        name: str = "segmentation",
        **node_arguments: Any,
    ) -> None:
        super().__init__(name, **parameter_rules.NODE_OPTIONS, **node_arguments)
        self._load = load
        self._after_load = after_load
        self._values = parameter_rules.declare_parameters(self)
        self.add_on_set_parameters_callback(parameter_rules.validate_change)
        self.add_post_set_parameters_callback(self._on_parameters_changed)
        self.warn = ThrottledLog(self.get_logger().warning, lambda: self._values.warning_period_s)
        self.statistics = FrameStatistics()
        self.model: Model | None = None
        self.stream: Stream | None = None
        self.problem = ""
        """Why the latest configure, activate or reload failed; empty after one that worked."""
        self.enabled = True
        self.configurations = 0
        """How often the node was configured or cleaned up."""
        self.callback_errors = CallbackErrors(self.warn)
        self._past_worker_restarts = 0
        self._results: ResultPublishers | None = None
        self.create_service(SetBool, "~/set_enabled", self._on_set_enabled)
        self._reload = ModelReload(self, lambda values: load_model(values, self.get_logger().info, load=self._load))
        # A request for a transition that is not possible now raises out of spin in rclpy and would end the process.
        self._rclpy_change_state = self._service_change_state.callback
        self._service_change_state.callback = self._on_change_state
        # Housekeeping runs on the steady clock: a simulated one may stand still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.health = Health(self)
        self.create_timer(_TICK_S, self._tick, clock=steady)
        self.create_timer(self._values.diagnostics_period_s, self.health.publish, clock=steady)
        self._clock_jumps = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True),
            post_callback=self._on_clock_jump,
        )
        self._preview: Preview | None = None
        if self._values.preview_port:
            # Only who wants the page pays for importing a web server.
            from madm_ros.preview.preview import Preview

            self._preview = Preview(self, self._values.preview_port)

    @property
    def values(self) -> NodeParameters:
        """The parameters' current values."""
        return self._values

    @property
    def state_label(self) -> str:
        """The lifecycle state: ``unconfigured``, ``inactive``, ``active`` or ``finalized``."""
        return str(self._state_machine.current_state[1])

    @property
    def reloading(self) -> bool:
        """Whether a model is being loaded for ``~/reload_model``."""
        return self._reload.under_way

    @property
    def worker_restarts(self) -> int:
        """How often the worker was started afresh since the node began."""
        return self._past_worker_restarts + (self.stream.worker.restarts if self.stream is not None else 0)

    def autostart(self) -> bool:
        """Configure, and activate if the parameter ``autostart`` says so, as far as that is still to be done.

        Returns:
            Whether the node got where it should be. If not, :attr:`problem` says why.
        """
        if self.state_label == "unconfigured":
            self.trigger_configure()
        if self.state_label == "inactive" and self._values.autostart:
            self.trigger_activate()
        return self.state_label == ("active" if self._values.autostart else "inactive")

    # Lifecycle -------------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and offer the topics; fails, with the reason in log and diagnostics, when that cannot be."""
        return self._transition(self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the worker."""
        return self._transition(self._start)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and finish the frame in work; nothing is published afterwards."""
        return self._transition(self._stop)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the model and the topics."""
        return self._transition(self._release)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop whatever runs."""
        return self._transition(self._release)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After an internal error in a transition: back to unconfigured, from where everything can be tried again."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def _transition(self, work: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            work()
        except MadmError as error:
            self.problem = str(error)
            self.get_logger().error(self.problem)
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            self.problem = f"internal error: {type(error).__name__}: {error}"
            self.get_logger().error(f"internal error in a transition:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        self.problem = ""
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        logger = self.get_logger()
        self.configurations += 1
        self.model = load_model(self._values, logger.info, load=self._load)
        self._results = ResultPublishers(self, logger.info, self._preview.feed.show if self._preview else None)
        self._results.announce(self.model.shown_label_set, self._values.min_confidence)
        self._after_load()

    def _start(self) -> None:
        assert self.model is not None and self._results is not None, "rclpy activates configured nodes only"
        self._run(self._new_stream(self.model, self._results))

    def _new_stream(self, model: Model, results: ResultPublishers) -> Stream:
        return Stream(self, model, results, self.statistics, parameters=lambda: self._values, warn=self.warn)

    def _run(self, stream: Stream) -> None:
        self.stream = stream
        stream.start(self.enabled)
        self.get_logger().info(f"listening on {stream.input.topic} ({stream.input.type_name})")

    def _stop(self) -> None:
        if self.stream is None:
            return
        if not self.stream.stop():
            self.get_logger().error("the network did not return in time; its thread is left behind")
        self._past_worker_restarts += self.stream.worker.restarts
        self.stream = None

    def change_model(self, loaded: Model) -> None:
        """Change over to another model between two frames, in whatever state the node is.

        Where the new model cannot be started for a reason that nobody thought of, :attr:`problem` says so: the node is
        then without input until a reload works.

        Raises:
            MadmError: It cannot be run with these parameters; the old model goes on.
        """
        assert self.model is not None and self._results is not None, "only a configured node changes its model"
        stream = self._new_stream(loaded, self._results) if self.state_label == "active" else None
        self._stop()
        self.model, self.problem = loaded, ""
        try:
            self._results.announce(loaded.shown_label_set, self._values.min_confidence)
            if stream is not None:
                self._run(stream)
        except Exception as error:
            self.callback_errors.note("the change of the model", error)
            self._stop()
            self.problem = f"{self.callback_errors.latest}; without input until ~/reload_model works"
        self._after_load()

    def _release(self) -> None:
        self.configurations += 1
        self._stop()
        self.model = None
        if self._results is not None:
            self._results.destroy()
            self._results = None
        if self._preview is not None:
            self._preview.feed.clear()

    # Timers, services, parameters ------------------------------------------------------------------------------------

    def _tick(self) -> None:
        if self.stream is not None:
            self.stream.tick()
        if self._results is not None:
            self._results.tend_legend()

    def _on_clock_jump(self, jump: Any) -> None:
        if self.stream is not None:
            self.stream.input.start_over()
        self.warn("clock_jump", "the clock jumped back or changed its source: windows and smoothed values start afresh")

    def _on_change_state(self, request: Any, response: Any) -> Any:
        try:
            return self._rclpy_change_state(request, response)
        except RuntimeError as error:  # rclpy's RCLError
            wanted = request.transition.label or request.transition.id
            self.warn("transition", f"transition {wanted} is not possible in state {self.state_label}: {error}")
            response.success = False
            return response

    def _on_set_enabled(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self.enabled = bool(request.data)
        try:
            if self.stream is not None:
                self.stream.enable(self.enabled)
        except Exception as error:  # without an answer, who asked would wait for ever
            self.callback_errors.note("~/set_enabled", error)
            response.message = self.callback_errors.latest
            return response
        response.success = True
        response.message = f"{'enabled' if self.enabled else 'disabled'}; the node is {self.state_label}"
        return response

    def _on_parameters_changed(self, parameters: list[Parameter]) -> None:
        before, self._values = self._values, parameter_rules.changed(self._values, parameters)
        if self._results is not None and self._values.min_confidence != before.min_confidence:
            self._results.announce_threshold(self._values.min_confidence)
        for parameter in parameters:
            spec = SPECS.get(parameter.name)
            if spec is not None and spec.applies != AT_ONCE:
                self.get_logger().info(f"parameter {parameter.name} = {parameter.value!r} takes effect {spec.applies}")

    def destroy_node(self) -> None:
        """Stop the worker before the publishers go."""
        if self._preview is not None:
            self._preview.close()
        self._release()
        self._clock_jumps.unregister()
        super().destroy_node()
