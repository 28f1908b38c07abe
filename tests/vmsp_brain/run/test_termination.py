import signal

import pytest

from vmsp_brain.run.termination import EXIT_CODE, Termination


@pytest.fixture(autouse=True)
def handler():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_sigterm_is_noted_and_ends_the_program_when_it_is_told_to(caplog):
    termination = Termination()
    assert not termination.requested
    signal.raise_signal(signal.SIGTERM)
    assert termination.requested
    with pytest.raises(SystemExit) as ended:
        termination.stop("epoch 3, step 5")
    assert ended.value.code == EXIT_CODE == 143
    assert "Stopped by SIGTERM in epoch 3, step 5." in caplog.text
