"""The service ``~/reload_model``: the next model loads in a thread while the one at work goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from rclpy.callback_groups import ReentrantCallbackGroup
from std_srvs.srv import Trigger

from madm_core.errors import MadmError
from madm_ros.executor_turn import NextTurn
from madm_ros.node_parameters import NodeParameters
from madm_ros.pipeline import Model

if TYPE_CHECKING:
    from madm_ros.segmentation_node import SegmentationNode


class ModelReload:
    """Offers the service.

    Args:
        node: Whose model it is.
        load: Makes a model from parameters, in a thread.
    """

    def __init__(self, node: SegmentationNode, load: Callable[[NodeParameters], Model]) -> None:
        self._node = node
        self._load = load
        self.under_way = False
        """Whether a model is being loaded."""
        # In a group of its own: while the coroutine waits for the model, everything else must go on being called.
        node.create_service(Trigger, "~/reload_model", self._on_request, callback_group=ReentrantCallbackGroup())

    async def _on_request(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        node = self._node
        if self.under_way:
            response.message = "a reload is already under way"
            return response
        if node.model is None:
            response.success = node.autostart()  # what failed at start is tried again
            response.message = node.problem or f"the node is {node.state_label}"
            return response
        # Until the model is there, parameters may change and the node may be configured anew.
        values, configurations = node.values, node.configurations
        outcome: list[Model | BaseException] = []
        thread = threading.Thread(target=self._load_into, args=(values, outcome), name="model-reload", daemon=True)
        self.under_way = True
        try:
            thread.start()
            while thread.is_alive():
                await NextTurn()
        finally:
            self.under_way = False
        response.success, response.message = self._change_over(values, configurations, outcome[0])
        if response.success:
            node.get_logger().info(response.message)
        else:  # on a line of its own: rclpy raises when one line logs with two severities
            node.get_logger().error(response.message)
        return response

    def _load_into(self, values: NodeParameters, outcome: list[Model | BaseException]) -> None:
        try:
            outcome.append(self._load(values))
        except BaseException as error:  # whatever ends this thread is the answer
            outcome.append(error)

    def _change_over(
        self, values: NodeParameters, configurations: int, loaded: Model | BaseException
    ) -> tuple[bool, str]:
        """Whether the node works with the new model, and the answer in words."""
        node = self._node
        if isinstance(loaded, BaseException):
            return False, f"the old model stays: {loaded}"
        if node.configurations != configurations:
            return False, f"the node was configured or cleaned up meanwhile, and is {node.state_label}: not taken"
        could_not_start = bool(node.problem) and node.state_label == "inactive"
        try:
            node.change_model(loaded)
        except MadmError as error:
            return False, f"the old model stays: {error}"
        if could_not_start and node.values.autostart:
            node.trigger_activate()
        if node.problem:
            return False, node.problem
        return True, f"the model is now {values.model}: {loaded.segmenter.description}"
