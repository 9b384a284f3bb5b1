# A workflow whose last step sends the result out in the user's name:
#   cwltool --preserve-environment … workflow.cwl job.yml
cwlVersion: v1.2
class: Workflow
inputs:
  scene: File
  wait: int
  account: string
  store: string
outputs:
  receipt: {type: File, outputSource: stage_out/receipt}
steps:
  process:
    run: process.cwl
    in: {scene: scene, wait: wait}
    out: [result]
  stage_out:
    run: stage-out.cwl
    in: {result: process/result, account: account, store: store}
    out: [receipt]
