"""One connection of a pymodbus client: reads calls from its input, line by line, and prints what each was answered."""
import json
import sys

from pymodbus.client import ModbusTcpClient

client = ModbusTcpClient("127.0.0.1", port=int(sys.argv[1]), timeout=10, retries=0)
assert client.connect()
# These two hand their arguments on to the request, which has another word for it.
UNIT = {"mask_write_register": "unit", "readwrite_registers": "unit"}
for line in sys.stdin:
    method, arguments = json.loads(line)
    answer = getattr(client, method)(**{UNIT.get(method, "slave"): 1, **arguments})
    if answer.isError():
        said = getattr(answer, "exception_code", str(answer))
    else:
        said = getattr(answer, "registers", "done")
    print(json.dumps(said), flush=True)
client.close()
