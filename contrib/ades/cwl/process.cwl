cwlVersion: v1.2
class: CommandLineTool
doc: Stands for the processing. It takes its time, and knows no token.
baseCommand: [sh, -c, 'sleep "$0" && tr a-z A-Z']
inputs:
  wait: {type: int, inputBinding: {position: 1}}
  scene: File
stdin: $(inputs.scene.path)
stdout: result.txt
outputs:
  result: stdout
