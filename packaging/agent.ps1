# 安装、升级、卸载学安采集代理（Windows）。Install, update and remove the edusoc agent on Windows.
#   powershell -ExecutionPolicy Bypass -File agent.ps1 install -Centre https://centre.example:8601 -Code XXXX-… [-Name 机房探针] [-Proxy URL]
#   powershell -ExecutionPolicy Bypass -File agent.ps1 update
#   powershell -ExecutionPolicy Bypass -File agent.ps1 remove [-Purge]
# 环境变量 EDUSOC_PACKAGE 可指定安装包（wheel 文件或包名），EDUSOC_PYTHON 可指定 python.exe。
# 服务部分在 Wine 下运行过；本脚本未经实机验证。The service ran under Wine; this script is unverified on Windows.
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true, Position = 0)][ValidateSet('install', 'update', 'remove')][string]$Job,
    [string]$Centre = '', [string]$Code = '', [string]$Name = '', [string]$Proxy = '', [switch]$Purge
)
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$Service = 'edusoc-agent'
# 程序放在 Program Files：那里普通用户不能写。ProgramData 人人可建文件，只放数据，权限由 service install 收紧。
$Prefix = Join-Path $env:ProgramFiles 'edusoc-agent'
$Data = Join-Path $env:ProgramData 'edusoc'
$Config = Join-Path $Data 'agent.toml'
$State = Join-Path $Data 'agent'
$Here = Split-Path -Parent $MyInvocation.MyCommand.Path
$EventSource = "HKLM:\SYSTEM\CurrentControlSet\Services\EventLog\Application\$Service"
$env:PYTHONUTF8 = '1'

function Fail([string]$Chinese, [string]$English, [int]$ExitCode = 3) {
    [Console]::Error.WriteLine($Chinese)
    [Console]::Error.WriteLine($English)
    exit $ExitCode
}

function Assert-Administrator {
    $me = New-Object Security.Principal.WindowsPrincipal([Security.Principal.WindowsIdentity]::GetCurrent())
    if (-not $me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
        Fail '请在“以管理员身份运行”的 PowerShell 里执行' 'Run this in PowerShell opened as administrator' 2
    }
}

# A Python for all users: the service's own account can't read that of one person.
function Find-Python {
    $candidates = @()
    if ($env:EDUSOC_PYTHON) { $candidates += $env:EDUSOC_PYTHON }
    foreach ($version in '3.13', '3.12', '3.11') {
        $key = "HKLM:\SOFTWARE\Python\PythonCore\$version\InstallPath"
        if (Test-Path $key) { $candidates += (Join-Path (Get-Item $key).GetValue('') 'python.exe') }
    }
    foreach ($candidate in $candidates) {
        if (-not (Test-Path $candidate)) { continue }
        & $candidate -I -c 'import sys; sys.exit(sys.version_info < (3, 11) or sys.maxsize < 2**32)'
        if ($LASTEXITCODE -eq 0) { return $candidate }
    }
    Fail '需要给所有用户安装的 64 位 Python 3.11 或更高版本（安装时选 Install for all users）' `
        'A 64-bit Python 3.11 or newer, installed for all users, is needed' 2
}

function Get-Package {
    if ($env:EDUSOC_PACKAGE) { return $env:EDUSOC_PACKAGE }
    $wheel = Get-ChildItem -Path $Here -Filter 'edusoc-*.whl' | Select-Object -First 1
    if ($wheel) { return $wheel.FullName }
    if (Test-Path (Join-Path $Here '..\pyproject.toml')) { return (Resolve-Path (Join-Path $Here '..')).Path }
    return 'edusoc'
}

function Invoke-Pip([string]$Environment, [string[]]$Words) {
    & "$Environment\Scripts\python.exe" -m pip install --quiet --disable-pip-version-check --no-input @Words
    if ($LASTEXITCODE -ne 0) {
        Remove-Item -Recurse -Force $Environment -ErrorAction SilentlyContinue
        Fail '安装程序失败，原来的版本没有动；请检查网络或软件源' `
            'Installing the program failed, the old one is untouched; check the network or the package index'
    }
}

# A new environment beside the old one, then a rename: a failed update leaves the old program as it was.
function Install-Program {
    $python = Find-Python
    $new = "$Prefix.new"
    if (Test-Path $new) { Remove-Item -Recurse -Force $new }
    & $python -m venv $new
    if ($LASTEXITCODE -ne 0) { Fail '建立运行环境失败' 'Making an environment failed' }
    $words = @('--requirement', (Join-Path $Here 'agent-requirements.txt'))
    $constraints = Join-Path $Here '..\constraints.txt'
    if (Test-Path $constraints) { $words = @('--constraint', $constraints) + $words }
    Invoke-Pip $new $words
    Invoke-Pip $new @('--no-deps', (Get-Package))
    Stop-Agent
    if (Test-Path "$Prefix.old") { Remove-Item -Recurse -Force "$Prefix.old" }
    if (Test-Path $Prefix) { Rename-Item $Prefix "$Prefix.old" }
    Rename-Item $new $Prefix
    $start = "@`"$Prefix\Scripts\python.exe`" -X utf8 -m edusoc %*"
    [IO.File]::WriteAllText("$Prefix\edusoc-agent.cmd", "$start`r`n", [Text.Encoding]::Default)
    if (Test-Path "$Prefix.old") { Remove-Item -Recurse -Force "$Prefix.old" }
}

function Invoke-Agent([string[]]$Words) {
    & "$Prefix\Scripts\python.exe" -X utf8 -m edusoc @Words
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
}

function Stop-Agent {
    if (Get-Service -Name $Service -ErrorAction SilentlyContinue) { Stop-Service -Name $Service -Force }
}

# Whoever made the folder before us must not own it: an owner may change the rights.
function Protect-Data {
    New-Item -ItemType Directory -Force -Path $Data | Out-Null
    & icacls.exe $Data /setowner '*S-1-5-32-544' /T /C /Q | Out-Null
    & icacls.exe $Data /inheritance:r /grant:r '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F' /Q | Out-Null
    if ($LASTEXITCODE -ne 0) { Fail "不能设置 $Data 的权限" "The rights of $Data can't be set" }
}

function Register-Service {
    Invoke-Agent @('service', 'install', '--config', $Config)
    # The folder above lets the service pass through; the configuration and the data it may use by themselves.
    & icacls.exe $Data /grant:r "NT SERVICE\${Service}:(RX)" /Q | Out-Null
    # Logs of the system, Security too, are readable by this group (Event Log Readers).
    $group = (New-Object Security.Principal.SecurityIdentifier('S-1-5-32-573')).Translate([Security.Principal.NTAccount])
    $short = $group.Value.Split('\')[-1]
    # By cmd: it may be a member already, and PowerShell 5 would end at the first word of complaint.
    & cmd.exe /c "net localgroup `"$short`" `"NT SERVICE\$Service`" /add >nul 2>&1"
    New-Item -Path $EventSource -Force | Out-Null
    # EventCreate.exe carries a message that is just the text given.
    New-ItemProperty -Path $EventSource -Name EventMessageFile -PropertyType ExpandString -Force `
        -Value '%SystemRoot%\System32\EventCreate.exe' | Out-Null
    New-ItemProperty -Path $EventSource -Name TypesSupported -PropertyType DWord -Value 7 -Force | Out-Null
}

function Install-Agent {
    if (-not $Centre -or -not $Code) {
        Fail '请给出 -Centre 地址 和 -Code 接入码' 'Give -Centre URL and -Code CODE' 2
    }
    Protect-Data
    Install-Program
    $words = @('enrol', '--config', $Config, '--centre', $Centre, '--code', $Code)
    if (-not (Test-Path $Config)) { $words += @('--state', $State) }
    if ($Name) { $words += @('--name', $Name) }
    if ($Proxy) { $words += @('--proxy', $Proxy) }
    Invoke-Agent $words
    Register-Service
    Invoke-Agent @('service', 'start')
    Write-Output "安装完成。检查：`"$Prefix\edusoc-agent.cmd`" doctor；配置：$Config · Installed."
}

function Update-Agent {
    if (-not (Test-Path $Prefix)) { Fail '还没有安装' 'Not installed yet' 2 }
    Install-Program
    Register-Service
    Invoke-Agent @('service', 'start')
    Write-Output '升级完成 · Updated'
}

function Remove-Agent {
    Stop-Agent
    if (Get-Service -Name $Service -ErrorAction SilentlyContinue) { Invoke-Agent @('service', 'remove') }
    if (Test-Path $EventSource) { Remove-Item -Recurse -Force $EventSource }
    foreach ($folder in $Prefix, "$Prefix.old", "$Prefix.new") {
        if (Test-Path $folder) { Remove-Item -Recurse -Force $folder }
    }
    if ($Purge) {
        if (Test-Path $Data) { Remove-Item -Recurse -Force $Data }
        Write-Output '已卸载，数据和配置已删除；请在中心吊销它的密钥 · Removed with data and configuration; revoke its key at the centre'
    } else {
        Write-Output "已卸载；数据和配置在 $Data · Removed; data and configuration stay in $Data"
    }
}

Assert-Administrator
switch ($Job) {
    'install' { Install-Agent }
    'update' { Update-Agent }
    'remove' { Remove-Agent }
}
