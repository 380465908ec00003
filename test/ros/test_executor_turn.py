from rclpy.executors import SingleThreadedExecutor

from madm_ros.executor_turn import NextTurn


def test_others_have_their_turn_while_a_callback_waits(context):
    order = []

    async def callback(name):
        order.append("begin")
        await NextTurn()
        order.append("end")

    executor = SingleThreadedExecutor(context=context)
    tasks = [executor.create_task(callback, name) for name in "ab"]
    while not all(task.done() for task in tasks):
        executor.spin_once(timeout_sec=0)
    executor.shutdown()
    assert order == ["begin", "begin", "end", "end"]
