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


def test_waiting_takes_no_time_from_what_else_is_to_be_done(context, monkeypatch):
    """An executor takes one message of a topic in each turn: a pause would be one a message."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)

    async def callback():
        for _ in range(5):
            await NextTurn()

    executor = SingleThreadedExecutor(context=context)
    task = executor.create_task(callback)
    while not task.done():
        executor.spin_once(timeout_sec=0)
    executor.shutdown()
    assert slept == []
