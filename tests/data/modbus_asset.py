"""A controller for the integration tests: a thousand points in each table, all zero, for every unit but 0."""
import logging
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.device import ModbusDeviceIdentification
from pymodbus.server import StartTcpServer

logging.basicConfig(level=logging.WARNING)
address, port = sys.argv[1].split(":")
table = lambda: ModbusSequentialDataBlock(0, [0] * 1000)
unit = ModbusSlaveContext(di=table(), co=table(), hr=table(), ir=table(), zero_mode=True)
identity = ModbusDeviceIdentification(
    info_name={"VendorName": "Test", "ProductCode": "PLC-3", "MajorMinorRevision": "1.0"}
)
StartTcpServer(
    context=ModbusServerContext(slaves=unit, single=True),
    identity=identity,
    address=(address, int(port)),
    allow_reuse_address=True,
)
