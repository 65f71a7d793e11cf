"""One connection of a pymodbus client: reads calls from its input, line by line, and prints what each was answered."""
import json
import sys

from pymodbus.client import ModbusTcpClient

client = ModbusTcpClient("127.0.0.1", port=int(sys.argv[1]), timeout=10, retries=0)
assert client.connect()
for line in sys.stdin:
    method, arguments = json.loads(line)
    answer = getattr(client, method)(**{"slave": 1, **arguments})
    if answer.isError():
        said = getattr(answer, "exception_code", str(answer))
    else:
        said = getattr(answer, "registers", "done")
    print(json.dumps(said), flush=True)
client.close()
