cwlVersion: v1.2
class: CommandLineTool
doc: Sends a file to a store, with a fresh token of the account.
baseCommand: python3
inputs:
  script:
    type: File
    default: {class: File, location: stage_out.py}
    inputBinding: {position: 0}
  result: {type: File, inputBinding: {position: 1}}
  account: {type: string, inputBinding: {position: 2}}
  store: {type: string, inputBinding: {position: 3}}
stdout: receipt.txt
outputs:
  receipt: stdout
